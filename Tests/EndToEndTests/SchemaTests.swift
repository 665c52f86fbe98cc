import Foundation
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// What is wrong with a value by the named schema of `manifests/schema`.
func violations(of name: String, _ value: JSONValue) throws -> [String] {
  let path = "\(Places.packageRoot)/manifests/schema/\(name).json"
  let schema = try JSONParsing().parse(try InputFile.contents(of: path))
  return violations(schema, value, place: "$")
}

/// The few keywords of JSON Schema that our schemas use.
private func violations(_ schema: JSONValue, _ value: JSONValue, place: String) -> [String] {
  var found: [String] = []
  if let constant = schema["const"], constant != value {
    found.append("\(place) is not \(constant)")
  }
  if let cases = schema["enum"]?.array, !cases.contains(value) {
    found.append("\(place) is none of \(cases)")
  }
  if let type = schema["type"] {
    let names = (type.array ?? [type]).compactMap(\.string)
    if !names.contains(where: { isOf($0, value) }) { found.append("\(place) is no \(names)") }
  }
  if let least = schema["minimum"]?.double, let number = value.double, number < least {
    found.append("\(place) is below \(least)")
  }
  if let least = schema["minItems"]?.int, let items = value.array, items.count < least {
    found.append("\(place) has fewer than \(least) items")
  }
  if let items = schema["items"] {
    for (index, item) in (value.array ?? []).enumerated() {
      found += violations(items, item, place: "\(place)[\(index)]")
    }
  }
  guard let object = value.object else { return found }
  for key in schema["required"]?.array?.compactMap(\.string) ?? [] where object[key] == nil {
    found.append("\(place) lacks \(key)")
  }
  for (key, member) in object.members {
    if let known = schema["properties"]?[key] {
      found += violations(known, member, place: "\(place).\(key)")
    } else if schema["additionalProperties"] == .bool(false) {
      found.append("\(place) has the unknown \(key)")
    } else if let other = schema["additionalProperties"] {
      found += violations(other, member, place: "\(place).\(key)")
    }
  }
  return found
}

private func isOf(_ type: String, _ value: JSONValue) -> Bool {
  switch type {
  case "integer": value.int != nil
  case "number": value.double != nil
  case "string": value.string != nil
  case "array": value.array != nil
  case "object": value.object != nil
  case "boolean": value.bool != nil
  case "null": value.isNull
  default: false
  }
}

extension EndToEnd {
  @Suite struct Schemas {
    private func json(_ arguments: [String]) throws -> JSONValue {
      try JSONParsing().parse(try ProgramRun.run("shardrun", arguments + ["--json"]).output)
    }

    @Test func resultsMeetTheirSchemas() throws {
      let models = try PreparedModels.shared.get()
      for split in [[6], [2, 2, 2]] {
        let bundle = try models.bundle(bits: 4, split: split)
        let generated = try json(["generate", bundle, "--prompt", "Once", "--max-tokens", "5"])
        #expect(try violations(of: "shardrun.generate", generated) == [])
        let scored = try json(["score", bundle, "--token-ids", "1,2,3"])
        #expect(try violations(of: "shardrun.score", scored) == [])
        let single = try json([
          "score", bundle, "--token-ids", "1", "--logits", models.path("one.safetensors"),
        ])
        #expect(try violations(of: "shardrun.score", single) == [])
        #expect(single["perplexity"] == .null)
      }
      for (command, input, name) in [
        ("tokenize", "Once upon", "shardtool.tokenize"),
        ("detokenize", "5 6 7", "shardtool.detokenize"),
      ] {
        let run = try ProgramRun.run(
          "shardtool", [command, PreparedModels.source, "--json"], input: input)
        #expect(try violations(of: name, JSONParsing().parse(run.output)) == [])
      }
      let error = try json(["generate", "/nonexistent", "--prompt", "a"])
      #expect(try violations(of: "shard.error", error) == [])
    }

    @Test func quantizingAndEvaluatingMeetTheirs() throws {
      let models = try PreparedModels.shared.get()
      let source = PreparedModels.source
      let ids = source + "/eval_ids.safetensors"
      let quantized = models.path("calibrated")
      let report = try ProgramRun.run(
        "shardtool",
        [
          "quantize", source, "--output", quantized, "--effort", "best", "--target-bpw", "5.2",
          "--calibrate-token-file", ids, "--calibrate-tokens", "1000", "--json",
        ])
      #expect(
        try violations(of: "shardtool.quantization_report", JSONParsing().parse(report.output))
          == [])
      let chart = models.path("chart.svg")
      for extra in [[], ["--sensitivity", "--svg", chart]] {
        let run = try ProgramRun.run(
          "shardtool",
          [
            "evaluate", quantized, "--against", source, "--token-file", ids, "--tokens", "400",
            "--json",
          ] + extra)
        let value = try JSONParsing().parse(run.output)
        #expect(try violations(of: "shardtool.evaluation", value) == [])
        #expect(value["sensitivity"] == nil || value["sensitivity"]?.array?.count == 44)
      }
      #expect(Directory.isFile(chart))
      let text = try ProgramRun.run(
        "shardtool",
        [
          "evaluate", quantized, "--against", source, "--text", source + "/eval.txt", "--tokens",
          "100", "--weights-only",
        ])
      #expect(text.output.contains("mean KL divergence"), "\(text.output) \(text.errors)")
      let foreign = try ProgramRun.run(
        "shardtool",
        [
          "evaluate", quantized, "--against", source, "--token-file", ids, "--svg",
          quantized + "/config.json",
        ])
      #expect(foreign.status == 73)
    }

    @Test func shippingAndSweepingMeetTheirs() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [2, 2, 2])
      let store = models.path("store")
      for (name, arguments) in [
        ("ship", ["ship", bundle, "--node", "node-1", store + "/node-1"]),
        ("gc", ["gc", store]), ("gc", ["gc", store, "--dry-run"]),
      ] {
        if name == "gc" {
          for path in ["node-1/blobs/sha256/1.partial", ".node-2.partial/blobs/sha256/x"] {
            try Directory.create(Directory.parent(of: "\(store)/\(path)"))
            try Directory.writeAtomically([1], to: "\(store)/\(path)")
          }
        }
        let run = try ProgramRun.run("shardtool", arguments + ["--json"])
        #expect(run.status == 0, "\(run.output)")
        let result = try JSONParsing().parse(run.output)
        #expect(try violations(of: "shardtool.\(name)", result) == [])
        if name == "gc" {
          #expect(result["removed"]?.array?.count == 1)
          #expect(result["left_alone"]?.array?.count == 1)
        }
      }
    }

    @Test func benchMeetsItsSchemaAndAddsUp() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [2, 2, 2])
      let result = try json([
        "bench", bundle, "--prompt-tokens", "64", "--generate-tokens", "16", "--repetitions", "3",
      ])
      #expect(try violations(of: "shardrun.bench", result) == [])
      let samples = result["decode_tokens_per_second_samples"]?.array?.compactMap(\.double) ?? []
      #expect(samples.count == 3)
      #expect(result["decode_tokens_per_second"]?.double == samples.sorted()[1])
      // The matrices of 6 layers and the head at little more than 4 and 8 bits.
      let weights = try #require(result["weight_bytes_per_token"]?.int)
      #expect(weights > 1_000_000 && weights < 3_000_000)
      #expect((result["read_bandwidth_bytes_per_second"]?.double ?? 0) > 1e9)
      #expect(
        result["nodes"]?.array?.allSatisfy {
          ($0["decode_seconds_per_token"]?.double ?? 0) > 0
        } == true)
    }
  }
}
