"""Where requests and jobs come from: a module for each framework, which imports the framework only there."""
