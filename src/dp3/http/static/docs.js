// Shows the description of the API. Paths are relative to the page, so a prefix of a reverse proxy is kept.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  layout: "BaseLayout",
  deepLinking: true,
  showExtensions: true,
  showCommonExtensions: true,
  validatorUrl: null, // asks no other server
});
