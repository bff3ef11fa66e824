"""groqscope beside the bare SDK and the other instrumentations: CPU per chunk and per request, in one run."""
