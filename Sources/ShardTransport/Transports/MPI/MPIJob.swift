/// The processes that one `mpirun` started, of which this is one.
///
/// They meet once in a process's life: MPI cannot be joined again after it was left. The build
/// lacks it where the package trait `MPI` is off.
public protocol MPIJob: AnyObject, Sendable {
  /// This process's number, from 0.
  var rank: Int { get }
  /// How many processes there are.
  var size: Int { get }
  /// Carries links between ranks; their addresses are `rank:0`, `rank:1` and so on.
  var transport: any Transport { get }

  /// Tells rank 0 that this one accepts links.
  func sayReady()
  /// Tells rank 0 why this one cannot take part.
  func sayUnable(_ farewell: Farewell)
  /// Waits until all other ranks are ready, or one says that it is unable.
  ///
  /// - Parameter isInterrupted: asked now and then whether to give up.
  /// Throws: that rank's own fault.
  func waitForOthers(isInterrupted: () -> Bool) throws
  /// Waits until rank 0 says that the work is over.
  ///
  /// Throws: `transport.mpi` where MPI fails.
  func waitForEnd() throws

  /// Sends what is on its way, tells the others where this is rank 0, and leaves MPI; links end.
  ///
  /// Waits for the other ranks to do the same, but not longer than `patience`: one may hang.
  func leave(patience: Duration)
}

extension MPIJob {
  /// The address of a rank.
  public func address(of rank: Int) -> HostPort { MPIJobs.address(of: rank) }
}

/// Where processes join.
public enum MPIJobs {
  /// Whether this build can.
  public static var isAvailable: Bool {
    #if MPI
      true
    #else
      false
    #endif
  }

  static let host = "rank"

  static func address(of rank: Int) -> HostPort { HostPort(host: host, port: rank) }

  /// Joins the job that this process was started in; alone, it is a job of one.
  ///
  /// Throws: `transport.noMPI` where the build lacks it, `transport.mpi` where MPI fails.
  public static func join(timing: LinkTiming = LinkTiming()) throws(TransportFault) -> any MPIJob {
    #if MPI
      return try OpenMPIJob(timing: timing)
    #else
      throw TransportFault(
        "noMPI",
        "this shardrun was built without MPI; install Open MPI (libopenmpi-dev, openmpi-bin) and "
          + "build it with make build, which then adds --traits MPI")
    #endif
  }
}
