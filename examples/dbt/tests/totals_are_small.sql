-- Fails: it selects the rows that should not exist.
select * from {{ ref("totals") }} where total > 25
