import StrictJSON
import TensorKernels

extension StageDescription {
  var object: JSONObject {
    [
      "node": .string(node), "nodes": .array(nodeNames.map(JSONValue.string)),
      "bundle": .string(bundleID), "layers": .range(layers),
      "layer_count": .integer(Int64(layerCount)), "embedding": .bool(holdsEmbedding),
      "head": .bool(holdsHead), "hidden_size": .integer(Int64(hiddenSize)),
      "vocabulary_size": .integer(Int64(vocabularySize)), "context": .integer(Int64(context)),
      "prefill_chunk": .integer(Int64(prefillChunk)),
      "hidden_format": .string(hiddenFormat.rawValue),
    ]
  }

  init(_ fields: MessageFields) throws(RuntimeFault) {
    guard let format = HiddenFormat(rawValue: try fields.string("hidden_format")) else {
      throw PayloadReader.malformed("its hidden_format is unknown")
    }
    self.init(
      node: try fields.string("node"), nodeNames: try fields.strings("nodes"),
      bundleID: try fields.string("bundle"), layers: try fields.range("layers"),
      layerCount: try fields.integer("layer_count"),
      holdsEmbedding: try fields.bool("embedding"), holdsHead: try fields.bool("head"),
      hiddenSize: try fields.integer("hidden_size"),
      vocabularySize: try fields.integer("vocabulary_size"),
      context: try fields.integer("context"), prefillChunk: try fields.integer("prefill_chunk"),
      hiddenFormat: format)
  }
}

extension NodeStatistics {
  var object: JSONObject {
    [
      "node": .string(node), "layers": .range(layers), "embedding": .bool(holdsEmbedding),
      "head": .bool(holdsHead), "steps": .integer(Int64(steps)), "tokens": .integer(Int64(tokens)),
      "seconds_per_decode_step": secondsPerDecodeStep.map(JSONValue.double) ?? .null,
      "seconds_per_prefill_token": secondsPerPrefillToken.map(JSONValue.double) ?? .null,
      "peak_resident_bytes": .integer(Int64(peakResidentBytes)),
      "ledger_bytes": ledgerBytes.map { .integer(Int64($0)) } ?? .null,
    ]
  }

  init(_ fields: MessageFields) throws(RuntimeFault) {
    self.init(
      node: try fields.string("node"), layers: try fields.range("layers"),
      holdsEmbedding: try fields.bool("embedding"), holdsHead: try fields.bool("head"),
      steps: try fields.integer("steps"), tokens: try fields.integer("tokens"),
      secondsPerDecodeStep: try fields.seconds("seconds_per_decode_step"),
      secondsPerPrefillToken: try fields.seconds("seconds_per_prefill_token"),
      peakResidentBytes: try fields.integer("peak_resident_bytes"),
      ledgerBytes: try fields.optionalInteger("ledger_bytes"))
  }
}

extension JSONValue {
  fileprivate static func range(_ range: Range<Int>) -> JSONValue {
    .array([.integer(Int64(range.lowerBound)), .integer(Int64(range.upperBound))])
  }
}

extension NodeStatus {
  var object: JSONObject {
    [
      "stage": .object(description.object), "statistics": .object(statistics.object),
      "activity": .string(activity.rawValue),
      "coordinator": coordinator.map(JSONValue.string) ?? .null, "runs": .integer(Int64(runs)),
      "sequences": .integer(Int64(sequences)),
      "sequences_in_use": .integer(Int64(sequencesInUse)),
      "uptime": .double(uptimeSeconds), "resident_bytes": .integer(Int64(residentBytes)),
    ]
  }

  init(_ fields: MessageFields) throws(RuntimeFault) {
    let word = try fields.string("activity")
    guard let activity = Activity(rawValue: word), let uptime = try fields.seconds("uptime") else {
      throw PayloadReader.malformed("\(word) is no activity, or the time is missing")
    }
    self.init(
      description: try StageDescription(try fields.object("stage")),
      statistics: try NodeStatistics(try fields.object("statistics")), activity: activity,
      coordinator: try fields.optionalString("coordinator"), runs: try fields.integer("runs"),
      sequences: try fields.integer("sequences"),
      sequencesInUse: try fields.integer("sequences_in_use"),
      uptimeSeconds: uptime, residentBytes: try fields.integer("resident_bytes"))
  }
}
