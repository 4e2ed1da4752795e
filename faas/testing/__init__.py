"""What the pytest plugin runs functions with (`faas.pytest_plugin`): in this process, or in a real sandbox without a platform around it."""
