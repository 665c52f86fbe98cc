import CommandLineSupport
import Foundation
import Logging
import StrictJSON

/// The log of a node on standard error, one line an event: for people, or as JSON.
struct NodeLog: LogHandler {
  let asJSON: Bool
  var logLevel = Logger.Level.info
  var metadata = Logger.Metadata()

  static func make(asJSON: Bool, quiet: Bool) -> Logger {
    var logger = Logger(label: "shardrun.node", factory: { _ in NodeLog(asJSON: asJSON) })
    logger.logLevel = quiet ? .error : .info
    return logger
  }

  init(asJSON: Bool) { self.asJSON = asJSON }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let time = Date().formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    let details = metadata.merging(event.metadata ?? [:]) { $1 }.mapValues { "\($0)" }
    let message = "\(event.message)"
    guard asJSON else {
      let node = details["node"].map { "\($0): " } ?? ""
      let remote = details["remote"].map { " (\($0))" } ?? ""
      let line = Program.singleLine("\(event.level) \(node)\(message)\(remote)")
      return Console.writeError("\(time) \(line)\n")
    }
    var object: JSONObject = [
      "time": .string(time), "level": .string("\(event.level)"), "message": .string(message),
    ]
    for (key, value) in details.sorted(by: { $0.key < $1.key }) where object[key] == nil {
      object[key] = .string(value)
    }
    Console.writeError(JSONValue.object(object).serialized(.compact) + "\n")
  }
}
