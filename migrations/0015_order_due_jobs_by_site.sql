-- While more is due than one promotion moves, every other one looks at each site by itself.
CREATE INDEX due_site ON due (site_id, due_at);
