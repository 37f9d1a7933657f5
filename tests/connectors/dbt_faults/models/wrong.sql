select amout from {{ ref('fine') }}
