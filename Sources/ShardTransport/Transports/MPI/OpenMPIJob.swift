#if MPI
  /// A job of MPI, all of whose calls are made by a thread of its own.
  ///
  /// That thread sleeps between two looks at what came: for no time while messages fly, for some
  /// microseconds while a run is on, for a millisecond while there is none.
  final class OpenMPIJob: MPIJob {
    enum Order: Sendable {
      case open(MPILinkKey, Link)
      case transmit(Frame, MPILinkKey)
      case disconnect(MPILinkKey)
      case tell(JobMessage, rank: Int)
      case leave
    }

    /// What the job's ranks tell each other beside links.
    enum JobMessage: Sendable, Equatable {
      case ready
      case unable(Farewell)
      case end

      var bytes: [UInt8] {
        switch self {
        case .ready: [0]
        case .unable(let farewell): [1] + farewell.payload
        case .end: [2]
        }
      }

      init?(_ bytes: [UInt8]) {
        switch bytes.first {
        case 0 where bytes.count == 1: self = .ready
        case 1:
          guard let farewell = Farewell(payload: Array(bytes.dropFirst())) else { return nil }
          self = .unable(farewell)
        case 2 where bytes.count == 1: self = .end
        default: return nil
        }
      }
    }

    /// What threads share.
    struct Shared {
      var orders: [Order] = []
      var accept: (@Sendable (Link) -> (any LinkHandler)?)?
      /// Other ranks' states, on rank 0.
      var readyCount = 0
      var unable: (rank: Int, farewell: Farewell)?
      var isOver = false
      var failure: TransportFault?
      var hasLeft = false
    }

    let rank: Int
    let size: Int
    let timing: LinkTiming
    let shared: Monitor<Shared>
    private let thread = DedicatedThread()

    init(timing: LinkTiming) throws(TransportFault) {
      let shared = Monitor(Shared())
      let started = Monitor<Result<(rank: Int, size: Int), TransportFault>?>(nil)
      thread.enqueue {
        do throws(TransportFault) {
          let messages = try MPIMessages()
          started.update { [rank = messages.rank, size = messages.size] in
            $0 = .success((rank, size))
          }
          var loop = MPILoop(messages, shared, timing)
          loop.run()
        } catch {
          started.update { $0 = .failure(error) }
        }
      }
      let result = started.wait { $0 }
      let found = try result?.get() ?? (rank: 0, size: 1)
      (rank, size) = (found.rank, found.size)
      self.shared = shared
      self.timing = timing
    }

    var transport: any Transport { MPITransport(self) }

    func order(_ order: Order) {
      let isFollowed = shared.update { shared in
        if !shared.hasLeft { shared.orders.append(order) }
        return !shared.hasLeft
      }
      if !isFollowed, case .open(_, let link) = order { link.disconnected("the job is over") }
    }

    func sayReady() { order(.tell(.ready, rank: 0)) }

    func sayUnable(_ farewell: Farewell) { order(.tell(.unable(farewell), rank: 0)) }

    func waitForOthers(isInterrupted: () -> Bool) throws {
      while true {
        let deadline = Monotonic.now() + .milliseconds(100)
        let isReady = try shared.wait(until: deadline) { [size] shared -> Bool? in
          if let (rank, farewell) = shared.unable {
            throw TransportFault(farewell, of: rank)
          }
          if let failure = shared.failure { throw failure }
          return shared.readyCount == size - 1 ? true : nil
        }
        if isReady == true { return }
        if isInterrupted() {
          throw TransportFault("interrupted", "interrupted before every rank was ready")
        }
      }
    }

    func waitForEnd() throws {
      _ = try shared.wait { shared -> Bool? in
        if let failure = shared.failure { throw failure }
        return shared.isOver ? true : nil
      }
    }

    func leave(patience: Duration) {
      if rank == 0 {
        for other in 1..<max(size, 1) { order(.tell(.end, rank: other)) }
      }
      order(.leave)
      // A rank that hangs keeps the others from leaving, but not from ending.
      _ = shared.wait(until: Monotonic.now() + patience) { $0.hasLeft ? true : nil }
    }
  }

  extension TransportFault {
    /// What a rank said of itself, as this side's fault.
    fileprivate init(_ farewell: Farewell, of rank: Int) {
      self.init(
        "rankUnable", "rank \(rank): \(farewell.message)", exitStatus: farewell.exitStatus,
        context: farewell.context)
    }
  }

  /// A link of a job: it is the one that a rank has made, by its number there.
  struct MPILinkKey: Hashable, Sendable {
    /// The other side.
    let rank: Int
    let number: Int32
    let isMadeHere: Bool

    /// Tag of the messages to the other side.
    var tag: Int32 { 2 * number + (isMadeHere ? 0 : 1) }

    init(rank: Int, number: Int32) {
      self.rank = rank
      self.number = number
      isMadeHere = true
    }

    /// The link that a message from the other side belongs to.
    init(source: Int, tag: Int32) {
      rank = source
      number = tag / 2
      isMadeHere = tag % 2 == 1
    }

    /// Links that a process can make: MPI promises tags up to 32767.
    static let mostLinks: Int32 = 16_382
  }

  /// Links between the ranks of a job.
  private struct MPITransport: Transport {
    static let name = "mpi"

    private let job: OpenMPIJob

    init(_ job: OpenMPIJob) { self.job = job }

    func listen(
      at address: HostPort, handler: @escaping @Sendable (Link) -> (any LinkHandler)?
    ) throws(TransportFault) -> any Listener {
      job.shared.update { $0.accept = handler }
      return MPIListener(job: job, address: job.address(of: job.rank))
    }

    func connect(
      to address: HostPort, timeout: Duration, handler: any LinkHandler
    ) throws(TransportFault) -> Link {
      guard address.host == MPIJobs.host, address.port < job.size, address.port != job.rank else {
        throw TransportFault.cannotConnect(to: address, "there is no other rank of that number")
      }
      let link = Link(remote: "\(address)", timing: job.timing)
      guard link.id <= MPILinkKey.mostLinks else {
        throw TransportFault.cannotConnect(to: address, "too many links were made")
      }
      let key = MPILinkKey(rank: address.port, number: Int32(link.id))
      link.attach(MPIWire(orders: job.shared, key: key), handler)
      job.order(.open(key, link))
      return link
    }

    /// Links end with the job.
    func shutdown() {}
  }

  private struct MPIListener: Listener {
    let job: OpenMPIJob
    let address: HostPort

    func close() { job.shared.update { $0.accept = nil } }
  }

  struct MPIWire: Wire {
    let orders: Monitor<OpenMPIJob.Shared>
    let key: MPILinkKey

    func transmit(_ frame: Frame) { orders.update { $0.orders.append(.transmit(frame, key)) } }

    func disconnect(lingering: Bool) { orders.update { $0.orders.append(.disconnect(key)) } }
  }
#endif
