import CommandLineSupport
import StrictJSON
import TensorCore

/// The result of `kernels` for people and for programs.
struct KernelReport {
  let repetitions: Int
  let samples: [KernelSample]

  var text: String {
    var table = TextTable([
      ("scheme", .left), ("shape", .left), ("isa", .left), ("threads", .right),
      ("tokens", .right), ("GB/s", .right), ("read GB/s", .right), ("share", .right),
      ("GOP/s", .right),
    ])
    for sample in samples {
      let measured = sample.measured
      table.add([
        measured.format.rawValue, measured.shape.description, measured.instructionSet.rawValue,
        String(measured.threads), String(measured.tokens),
        Quantity.fixed(sample.weightRate * 1e-9, digits: 2),
        Quantity.fixed(sample.readBandwidth * 1e-9, digits: 2),
        "\(Quantity.fixed(sample.shareOfReadBandwidth * 100, digits: 1)) %",
        Quantity.fixed(sample.operationRate * 1e-9, digits: 1),
      ])
    }
    return table.rendered()
  }

  var json: JSONValue {
    [
      "schema": "shardbench.kernels/1",
      "repetitions": JSONValue(repetitions),
      "results": .array(samples.map(json)),
    ]
  }

  private func json(_ sample: KernelSample) -> JSONValue {
    let measured = sample.measured
    return [
      "scheme": .string(measured.format.rawValue),
      "rows": JSONValue(measured.shape.rows),
      "columns": JSONValue(measured.shape.columns),
      "instruction_set": .string(measured.instructionSet.rawValue),
      "threads": JSONValue(measured.threads),
      "tokens": JSONValue(measured.tokens),
      "weight_bytes": JSONValue(sample.weightBytes),
      "seconds_samples": .array(sample.seconds.map { .double($0) }),
      "weight_bytes_per_second": .double(sample.weightRate),
      "read_bandwidth_bytes_per_second": .double(sample.readBandwidth),
      "read_bandwidth_bytes_per_second_samples": .array(
        sample.readBandwidths.map { .double($0) }),
      "share_of_read_bandwidth": .double(sample.shareOfReadBandwidth),
      "operations_per_second": .double(sample.operationRate),
    ]
  }
}
