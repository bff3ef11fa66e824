"""What the tests of the bundled services share: traffic, and a hand on the services."""
