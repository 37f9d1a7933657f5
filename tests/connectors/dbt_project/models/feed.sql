-- Fails while the file that it reads is not there.
{{ config(materialized='table') }}
select * from read_csv('{{ env_var("SHOP_FEED") }}')
