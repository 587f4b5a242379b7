"""The language of filters: MongoDB's, in JSON, as a question to the store and as a test of documents.

`filters` takes both filters of a request, `parsing` reads them, `operators` has one row for each operator,
`conditions` says whether a document meets what was read, `planning` what the store is asked."""
