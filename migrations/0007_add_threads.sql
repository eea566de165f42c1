-- Threads: the further posts of a post, and what became of each post of a delivery.

ALTER TABLE post_versions ADD segments jsonb NOT NULL DEFAULT '[]';   -- [{"text":"…","media":[…as media…]}], in order
DROP TRIGGER post_versions_immutable ON post_versions;
CREATE TRIGGER post_versions_immutable BEFORE UPDATE OF title, excerpt, content, url, tags, mentions, media, segments
  ON post_versions FOR EACH ROW EXECUTE FUNCTION refuse_change();

ALTER TABLE deliveries ADD segments jsonb;   -- [{"remoteId","url"}] of a thread, the first post included; else null
