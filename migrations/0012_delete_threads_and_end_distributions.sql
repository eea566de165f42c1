-- Threads are deleted post by post.

-- The first run that deletes; what the runs before it sent is public, what it sends takes that away again.
ALTER TABLE deliveries ADD COLUMN removal_run int;
UPDATE deliveries SET removal_run = run WHERE removal IS NOT NULL;
