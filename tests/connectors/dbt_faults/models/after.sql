select id from {{ ref('lost') }}
