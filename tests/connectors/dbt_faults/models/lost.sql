{{ config(pre_hook="attach '" ~ env_var('SHOP_ARCHIVE') ~ "' as archive", post_hook="detach archive") }}
select 1 as id
