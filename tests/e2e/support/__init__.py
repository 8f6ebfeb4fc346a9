"""What the end-to-end tests share: the server process, requests to it, archives read by other programs, digests of directories."""
