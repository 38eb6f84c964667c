"""A local watsonx.ai runtime: the REST API that the SDK talks to, over TLS on loopback, with a real engine."""
