import StrictJSON
import TensorCore

/// What a run measured, as `shardrun bench --json` prints it.
public struct RunMeasurement: Sendable, Equatable {
  public struct Node: Sendable, Equatable {
    public var name: String
    public var layers: Range<Int>
    /// One token through the node; nil where none was decoded.
    public var decodeSeconds: Double?
    /// A token of a prompt, read in chunks; nil where none was.
    public var prefillSeconds: Double?
  }

  public var promptTokens: Int
  public var generateTokens: Int
  /// Weights of the whole model that one token reads.
  public var weightBytesPerToken: Int
  /// What of a token's time no node computed.
  public var messageSeconds: Double
  public var nodes: [Node]

  public static let schema = "shardrun.bench/1"

  /// Reads the members that matter here; the others are the report's business.
  ///
  /// Throws: `PlanFault` for what is no result of `bench`.
  public init(json value: JSONValue, source: String) throws(PlanFault) {
    func fault(_ what: String) -> PlanFault {
      PlanFault.badData(
        "badMeasurement", "\(what); give what shardrun bench --json printed", source: source)
    }
    guard value["schema"]?.string == Self.schema else {
      throw fault("schema is not \"\(Self.schema)\"")
    }
    func count(_ key: String, most: Int) throws(PlanFault) -> Int {
      guard let number = value[key]?.int, (1...most).contains(number) else {
        throw fault("\(key) is no number from 1 to \(most)")
      }
      return number
    }
    func seconds(_ value: JSONValue?, _ key: String) throws(PlanFault) -> Double? {
      guard let value, !value.isNull else { return nil }
      guard let seconds = value.double, seconds.isFinite, (0...3600).contains(seconds) else {
        throw fault("\(key) is no time")
      }
      return seconds
    }
    promptTokens = try count("prompt_tokens", most: PlanSettings.maximumContext)
    generateTokens = try count("generate_tokens", most: PlanSettings.maximumContext)
    weightBytesPerToken = try count("weight_bytes_per_token", most: NodeProfile.maximumRAMBytes)
    let messages = "message_seconds_per_token"
    messageSeconds = try seconds(value["measured"]?[messages], messages) ?? 0
    guard let elements = value["nodes"]?.array,
      (1...Cluster.maximumNodeCount).contains(elements.count)
    else { throw fault("nodes is no list of nodes") }
    var nodes: [Node] = []
    for element in elements {
      guard let name = element["name"]?.string, StrictObject.isNodeName(name),
        let first = element["first_layer"]?.int, let count = element["layer_count"]?.int,
        first >= 0, count >= 1, first < Planner.maximumLayerCount,
        count <= Planner.maximumLayerCount
      else { throw fault("a node lacks its name or layers") }
      nodes.append(
        Node(
          name: name, layers: first..<(first + count),
          decodeSeconds: try seconds(
            element["decode_seconds_per_token"], "decode_seconds_per_token"),
          prefillSeconds: try seconds(
            element["prefill_seconds_per_token"], "prefill_seconds_per_token")))
    }
    self.nodes = nodes
  }

  /// Reads a result that was kept in a file.
  public static func read(from path: String) throws -> RunMeasurement {
    try RunMeasurement(json: try PlanFile.read(path), source: path)
  }
}
