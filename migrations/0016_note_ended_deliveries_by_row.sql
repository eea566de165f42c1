-- Only deliveries that end are looked at: the whole statement's rows before and after it, which the trigger before this
-- one took, cost as much at every update as at the ends.
DROP TRIGGER deliveries_note_ended ON deliveries;
DROP FUNCTION note_ended_deliveries();

-- Notes, for the rest of the transaction, that a delivery of a distribution has ended.
CREATE FUNCTION note_ended_delivery() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('rostrum.ended',
    coalesce(current_setting('rostrum.ended', true), '') || NEW.distribution_id || ' ', true);
  RETURN NULL;
END $$;
CREATE TRIGGER deliveries_note_ended AFTER UPDATE OF ended_as ON deliveries
  FOR EACH ROW WHEN (OLD.ended_as IS NULL AND NEW.ended_as IS NOT NULL) EXECUTE FUNCTION note_ended_delivery();
