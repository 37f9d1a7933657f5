{{ config(materialized='table', group='finance') }}
select id, customer, amount from {{ ref('raw_orders') }}
