"""What tests of several rooms share: tiny recordings and datasets, commands in processes of their own, pages."""
