"""The plugins that installed distributions declare: found, loaded, called."""
