"""The offered load: requests, arrivals, tenants and patience. Pure and seeded, without network."""
