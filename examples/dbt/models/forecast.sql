-- Skipped, because the model that it reads fails.
select * from {{ ref("broken") }}
