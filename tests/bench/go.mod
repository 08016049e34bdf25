module prowl.bench

go 1.16
