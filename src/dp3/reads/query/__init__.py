"""The language of filters: MongoDB's, in JSON, as a query of the store and as a test of documents.

`filters` takes both filters of a request, `parsing` reads them, `operators` has one row for each operator,
`conditions` tests a document, `planning` makes the query of the store."""
