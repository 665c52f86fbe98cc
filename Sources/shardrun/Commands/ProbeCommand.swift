import ArgumentParser
import CommandLineSupport
import ShardPlanning
import ShardRuntime
import ShardTransport
import StrictJSON
import TensorCore
import TensorKernels

struct ProbeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "probe",
    abstract: "Measures this machine, or the way to another one, for shardtool plan.",
    discussion: """
      Prints this machine as a node profile: memory, weights per second through our own kernels, \
      prefill rate, fixed costs. With --listen it answers the probes of others, with --peer it \
      measures the link to such a machine, or to one whose node serves nobody. Let nothing else \
      run meanwhile.
      """)

  @Option(help: "Name of the node in the profile; by default the machine's.")
  var name: String?

  @Option(help: "Memory of the graphics card, where its driver does not tell.")
  var vram: ByteSize?

  @Option(help: "What the system and other programs keep of the memory.")
  var reserve: ByteSize?

  @Option(help: "Write the profile to this file too.", completion: .file())
  var output: String?

  @Option(help: ArgumentHelp("Answer the probes of other machines.", valueName: "HOST:PORT"))
  var listen: String?

  @Option(
    help: ArgumentHelp(
      "Measure the link to a listening probe or an idle node.", valueName: "HOST:PORT"))
  var peer: String?

  @OptionGroup var cluster: ClusterOptions
  @OptionGroup var compute: ThreadOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    for (name, value) in [("--listen", listen), ("--peer", peer)] {
      guard let value else { continue }
      do {
        _ = try HostPort(value)
      } catch {
        throw ValidationError("\(name) takes HOST:PORT, not \"\(value)\".")
      }
    }
    if listen != nil, peer != nil {
      throw ValidationError("--listen and --peer exclude each other.")
    }
    if listen == nil, peer == nil, cluster.isGiven {
      throw ValidationError("--key and --insecure belong to a link: --listen or --peer.")
    }
    let isOfMachine = name != nil || vram != nil || reserve != nil || output != nil
    if listen != nil || peer != nil, isOfMachine {
      throw ValidationError(
        "--name, --vram, --reserve and --output belong to a machine, not to a link.")
    }
  }

  func run() throws {
    if let listen { return try serve(HostPort(listen)) }
    if let peer { return try measureLink(HostPort(peer)) }
    try measureNode()
  }

  private func measureNode() throws {
    if let output { try OutputPlace.check(output, option: "--output") }
    let compute = try ComputeContext(
      threads: self.compute.threads ?? WorkerPool.defaultThreadCount)
    var profile = try NodeProfile(
      checking: name ?? MachineFacts.nodeName, ramBytes: MachineFacts.ramBytes,
      reserveBytes: reserve?.bytes, vramBytes: vram?.bytes ?? MachineFacts.vramBytes)
    profile.machine = MachineFacts.machine(compute)
    profile.compute = try NodeProbe(compute: compute).measure { common.note("measuring \($0)") }
    let text = profile.json.serialized(.pretty)
    if let output { try Directory.writeAtomically(Array(text.utf8), to: output) }
    Console.write(text)
  }

  private func serve(_ address: HostPort) throws {
    let interruption = Interruption()
    let server = LinkProbeServer(transport: try cluster.makeTransport(for: [address]))
    let actual = try server.start(at: address)
    if common.json {
      let object: JSONValue = [
        "schema": "shardrun.probe/1", "listen": .string("\(actual)"),
      ]
      Console.write(object.serialized(.compact) + "\n")
    } else {
      common.note("answering probes on \(actual) until Ctrl-C")
    }
    let stopped = Monitor(false)
    interruption.onRequest { stopped.update { $0 = true } }
    _ = stopped.wait { $0 ? true : nil }
    server.shutdown()
  }

  private func measureLink(_ address: HostPort) throws {
    let probe = LinkProbe(transport: try cluster.makeTransport(for: [address]))
    let link = try probe.measure(address)
    let profile = link.profile
    if common.json {
      Console.write([
        "schema": "shardrun.link/1", "peer": .string("\(address)"),
        "round_trip": JSONValue(profile.roundTripNanoseconds),
        "round_trip_p95": JSONValue(Int(link.roundTripP95.inSeconds * 1e9)),
        "rate": JSONValue(profile.bytesPerSecond),
        "rate_there": JSONValue(Int(link.rateThere)), "rate_back": JSONValue(Int(link.rateBack)),
      ])
      return
    }
    func microseconds(_ time: Duration) -> String {
      "\(Quantity.fixed(time.inSeconds * 1e6, digits: 0)) us"
    }
    func rate(_ rate: Double) -> String { "\(Quantity.fixed(rate * 1e-6, digits: 1)) MB/s" }
    Console.write(
      """
      round trip: \(microseconds(link.roundTripMedian)) median, \
      \(microseconds(link.roundTripP95)) at most in 95 of 100
      rate: \(rate(link.rateThere)) there, \(rate(link.rateBack)) back
      for shardtool plan: --link \(profile.argument)

      """)
  }
}
