"""What a set of records comes to, and where the limit is. Pure: values in, values out."""
