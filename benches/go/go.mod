module greenlight/compare

go 1.22
