/// Something that happened to a node and that its keeper may want to know: one line of its log.
struct NodeEvent: Equatable {
  enum Kind: String {
    case coordinatorConnected = "coordinator.connected"
    case joined = "ring.joined"
    case runOver = "run.over"
    case measured = "link.measured"
    /// Somebody was turned away, or went before saying who it is.
    case refused = "connection.refused"
  }

  let kind: Kind
  let text: String
  /// Whom it is about; the log adds where that one is.
  var link: NodeMachine.LinkID?
  /// The code of the fault behind it.
  var code: String?

  static func coordinatorConnected(_ name: String, on link: NodeMachine.LinkID) -> NodeEvent {
    NodeEvent(kind: .coordinatorConnected, text: "coordinator \(name) connected", link: link)
  }

  static func joined(_ coordinator: String) -> NodeEvent {
    NodeEvent(kind: .joined, text: "took its place in the ring of \(coordinator)")
  }

  static func runOver(_ reason: String, code: String?) -> NodeEvent {
    NodeEvent(kind: .runOver, text: "run over: \(reason)", code: code)
  }

  static func measured(on link: NodeMachine.LinkID) -> NodeEvent {
    NodeEvent(kind: .measured, text: "a link is being measured", link: link)
  }

  static func refused(
    _ reason: String, code: String?, on link: NodeMachine.LinkID
  ) -> NodeEvent {
    NodeEvent(
      kind: .refused, text: "refused a connection: \(reason)", link: link, code: code)
  }
}
