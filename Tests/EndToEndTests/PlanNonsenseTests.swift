import Foundation
import StrictJSON
import TensorCore
import TestSupport
import Testing

/// What cannot be planned for: a status that says whose mistake it is, one sentence, no file.
extension EndToEnd {
  @Suite struct PlanNonsense {
    private let directory: TemporaryDirectory
    private let quantized: String

    init() throws {
      directory = try TemporaryDirectory()
      quantized = try PreparedModels.shared.get().path("q4")
    }

    private func check(_ options: [String], status: Int32, _ words: [String]) throws {
      let output = directory.appending("plan.json")
      let run = try ProgramRun.run(
        "shardtool", ["plan", quantized, "--output", output, "--json"] + options)
      let note = "\(options.joined(separator: " ")): \(run.output)"
      #expect(run.status == status, "\(note)")
      let error = try #require(try JSONParsing().parse(run.output)["error"], "\(note)")
      let message = try #require(error["message"]?.string, "\(note)")
      #expect(!message.contains("\n") && message.count < 500, "\(note)")
      for word in words { #expect(message.contains(word), "\(note)") }
      #expect(!Directory.isFile(output), "\(note)")
    }

    @Test func argumentsThatMakeNoSenseAreWrongUsage() throws {
      let cases: [(options: [String], words: [String])] = [
        (["--nodes", "0", "--ram", "8G"], ["0 nodes", "16"]),
        (["--nodes", "-1", "--ram", "8G"], ["-1"]),
        (["--nodes", "17", "--ram", "8G"], ["17", "16"]),
        (["--nodes", "99999999999999999999", "--ram", "8G"], ["99999999999999999999"]),
        (["--nodes", "99999999999999999999"], ["99999999999999999999", "1 to 16"]),
        (["--nodes", "3"], ["--ram"]),
        (
          ["--nodes", "\(Places.packageRoot)/manifests/nodes/three-laptops.json", "--ram", "8G"],
          ["leave --ram out"]
        ),
        (["--nodes", "3", "--ram", "-8G"], ["-8G"]),
        (["--nodes", "3", "--ram", "0"], ["memory"]),
        (["--nodes", "3", "--ram", "NaN"], ["NaN"]),
        (["--nodes", "3", "--ram", "1e30G"], ["1e30G"]),
        (["--nodes", "3", "--ram", "8G", "--reserve", "9G"], ["reserve"]),
        (["--nodes", "3", "--ram", "8G", "--context", "10T"], ["10T"]),
        (["--nodes", "3", "--ram", "8G", "--context", "10995116277760"], ["context", "512"]),
        (["--nodes", "3", "--ram", "8G", "--context", "0"], ["context"]),
        (["--nodes", "3", "--ram", "8G", "--context", "-5"], ["-5"]),
        (["--nodes", "3", "--ram", "8G", "--sequences", "0"], ["sequences"]),
        (["--nodes", "3", "--ram", "8G", "--threads", "0"], ["threads"]),
        (["--nodes", "3", "--ram", "8G", "--prefill-chunk", "100000"], ["prefill chunk"]),
        (["--nodes", "3", "--ram", "8G", "--link", "fast"], ["fast"]),
        (["--nodes", "3", "--ram", "8G", "--link", "1Gbit/s,-3us"], ["-3us"]),
        (["--nodes", "3", "--ram", "8G", "--link", "NaN,1ms"], ["NaN"]),
        (["--nodes", "3", "--ram", "8G", "--split", "1,2"], ["1,2"]),
        (["--nodes", "3", "--ram", "8G", "--split", "6,0,0"], ["6,0,0"]),
        (["--nodes", "3", "--ram", "8G", "--split", "2,2,9"], ["2,2,9"]),
        (["--nodes", "3", "--ram", "8G", "--split", "x"], ["x"]),
        (["--nodes", "3", "--ram", "8G", "--objective", "beauty"], ["beauty"]),
        (["--nodes", "3", "--ram", "8G", "--prompt-tokens", "9999"], ["9999"]),
        (["--nodes", "7", "--ram", "8G"], ["7 nodes", "6 layers"]),
        (["--nodes", "3", "--ram", "8"], ["8 bytes", "8G"]),
        (["--nodes", "3.0", "--ram", "8G"], ["no file \"3.0\"", "1 to 16"]),
        (["--nodes", "2", "--ram", "8G", "--reserve", "8G"], ["reserve"]),
        (["--nodes", "2", "--ram", "8G", "--from", ""], ["--from", "empty"]),
        (["--nodes", "2", "--ram", "8G", "--calibrate", ""], ["--calibrate", "empty"]),
      ]
      for test in cases { try check(test.options, status: 64, test.words) }
    }

    @Test func filesThatMakeNoSenseAreBadData() throws {
      let a = "{\"name\": \"a\", \"ram\": \"8G\"}"
      func list(_ nodes: String, _ rest: String = "") -> String {
        "{\"schema\": \"shardtool.nodes/1\", \"nodes\": [\(nodes)]\(rest)}"
      }
      let cases: [(text: String, words: [String])] = [
        ("", ["JSON"]), ("[]", ["array"]), ("{}", ["schema"]),
        (list(""), ["at least one node"]),
        (list("\(a), \(a)"), ["named a"]),
        (list("{\"name\": \"a\", \"ram\": \"8G\", \"speed\": 1}"), ["speed"]),
        (list(a, ", \"nodez\": []"), ["nodez"]),
        (list("{\"name\": \"a\", \"ram\": NaN}"), ["JSON"]),
        (list("{\"name\": \"a\", \"ram\": \"NaN\"}"), ["NaN"]),
        (list("{\"name\": \"a\", \"ram\": 1e999}"), ["nodes.json"]),
        (list("{\"name\": \"a\", \"ram\": -8}"), ["-8"]),
        (list("{\"name\": \"a\", \"ram\": 0}"), ["ram"]),
        (list("{\"name\": \"a\"}"), ["ram"]),
        (list("{\"name\": \"../a\", \"ram\": \"8G\"}"), ["../a"]),
        (list("{\"name\": \"a\", \"ram\": \"8G\", \"reserve\": \"9G\"}"), ["reserve"]),
        (
          list("{\"name\": \"a\", \"ram\": \"8G\", \"compute\": {\"weight_rate\": \"nan\"}}"),
          ["weight_rate"]
        ),
        (
          list("{\"name\": \"a\", \"ram\": \"8G\", \"compute\": {\"preset\": \"cray\"}}"),
          ["preset", "core-i5-laptop"]
        ),
        (list(a, ", \"links\": [{\"from\": \"a\", \"to\": \"b\"}]"), ["round_trip"]),
        (list("{\"name\": \"a\", \"ram\": 1}"), ["1 byte", "8G"]),
        (list("{\"name\": \"a\\nb\", \"ram\": \"8G\"}"), ["a b"]),
        (list("\"\""), ["nodes[0]"]),
        (
          list(
            "{\"name\": \"a\", \"ram\": \"8G\", \"compute\": {\"weight_rate_by_scheme\": "
              + "{\"q99\": \"1GB/s\"}}}"), ["q99", "q4"]
        ),
        (list("\"missing.json\""), ["missing.json"]),
      ]
      let file = directory.appending("nodes.json")
      for test in cases {
        try Directory.writeAtomically(Array(test.text.utf8), to: file)
        let status: Int32 = test.text.contains("missing.json") ? 66 : 65
        try check(["--nodes", file], status: status, test.words)
      }
      try check(["--nodes", directory.appending("none.json")], status: 66, ["none.json"])
    }

    @Test func measurementsThatMakeNoSenseAreBadData() throws {
      let file = directory.appending("run.json")
      for (text, word) in [
        ("{}", "schema"), ("{\"schema\": \"shardrun.bench/1\"}", "prompt_tokens"), ("x", "JSON"),
      ] {
        try Directory.writeAtomically(Array(text.utf8), to: file)
        try check(
          ["--nodes", "2", "--ram", "8G", "--calibrate", file], status: 65, [word, "run.json"])
      }
    }

    @Test func aModelThatDoesNotFitIsNoNonsense() throws {
      try check(
        ["--nodes", "2", "--ram", "40M", "--reserve", "0"], status: 78, ["lacks", "try"])
    }
  }
}
