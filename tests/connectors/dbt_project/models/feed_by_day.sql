select count(*) as n from {{ ref('feed') }}
