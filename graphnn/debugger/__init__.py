"""What looks into an evaluation: all of it clients of the one loop, `graphnn.runtime.interpreter.evaluate`."""
