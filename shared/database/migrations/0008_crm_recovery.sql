-- When an outside system last worked after it had failed. `state` is `trial` while somebody tries one that was down.
ALTER TABLE dependency_health ADD COLUMN recovered_at BIGINT;
