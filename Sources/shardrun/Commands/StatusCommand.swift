import ArgumentParser
import CommandLineSupport
import ShardRuntime
import ShardTransport
import TensorCore

struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Shows what other nodes hold and do, and how far away they are.",
    discussion: """
      Asks each node for its layers, memory and times, beside a run that it may be serving, and \
      measures how long a small message takes there and back. Ends with the status of the first \
      node that does not answer (69, or 77 where it holds another cluster identity).
      """)

  @Option(
    help: ArgumentHelp(
      "The nodes, each running `shardrun node` at an address.", valueName: "name=HOST:PORT,..."))
  var peers: PeerList

  @OptionGroup var cluster: ClusterOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    let transport = try cluster.makeTransport(for: peers.peers.map(\.address))
    defer { transport.shutdown() }
    let results = Monitor<[Int: Result<StatusQuery.Answer, any Error>]>([:])
    let threads = peers.peers.enumerated().map { index, peer in
      let thread = DedicatedThread()
      thread.enqueue {
        let result = Result { try Self.ask(peer.name, peer.address, transport) }
        results.update { $0[index] = result }
      }
      return thread
    }
    for thread in threads { thread.finish() }
    let known = results.withLock { $0 }
    let report = StatusReport(
      nodes: peers.peers.indices.map { index in
        let answer = known[index] ?? .failure(CancellationError())
        return .init(
          name: peers.peers[index].name, address: peers.peers[index].address, answer: answer)
      })
    if common.json {
      Console.write(report.json)
    } else {
      Console.write(report.text)
      for warning in report.warnings { common.note("warning: \(warning)") }
    }
    if let fault = report.fault { throw ExitCode(fault.exitStatus.rawValue) }
  }

  private static func ask(
    _ name: String, _ address: HostPort, _ transport: TCPTransport
  ) throws -> StatusQuery.Answer {
    let answer = try StatusQuery(transport: transport).ask(address)
    let found = answer.status.description.node
    guard found == name else {
      throw RuntimeFault(
        "wrongNode", "this address serves \(found), not \(name); check --peers",
        exitStatus: .usage, context: ["node": name, "address": "\(address)"])
    }
    return answer
  }
}
