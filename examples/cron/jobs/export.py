import pipewatch

with pipewatch.run("billing", "export") as run:
    run.count(files=3, exported_bytes=81_234_567)
