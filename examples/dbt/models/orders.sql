{{ config(materialized="table", tags=["daily"]) }}
select * from {{ ref("raw_orders") }}
