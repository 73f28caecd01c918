"""What an installation is: desired (topology), observed (broker snapshot) and registered (workers). Plain values."""
