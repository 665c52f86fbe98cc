import CommandLineSupport
import Foundation
import Logging
import ShardPackaging
import ShardRuntime
import ShardTransport
import TensorCore
import TensorKernels

/// The processes of `--mpi`: all were started with the same words, rank 0 does what they say and
/// the others serve it.
enum Ranks {
  /// Runs a command's work, or where this is another rank of `--mpi`, serves it.
  static func guarded(
    _ path: String, _ place: PlaceOptions, _ work: (Interruption) throws -> Void
  ) throws {
    try Interruption.guarded { interruption in
      guard place.mpi else { return try work(interruption) }
      let job = try joined.get()
      do {
        if job.rank > 0 {
          try serve(job, path, place)
        } else {
          try work(interruption)
        }
      } catch {
        // Where a rank is lost the user does not wait for it once more.
        let isLoss = (error as? any Fault)?.exitStatus == .unavailable
        job.leave(patience: isLoss ? .milliseconds(200) : usualPatience)
        throw error
      }
      job.leave(patience: usualPatience)
    }
  }

  /// How long ranks that are well may take to leave.
  private static let usualPatience = Duration.seconds(3)

  /// A process can join once only.
  private static let joined = Result { try MPIJobs.join() }

  /// The job of rank 0.
  ///
  /// Throws: `mpi.processes` where there are not as many ranks as nodes.
  static func job(for package: VerifiedPackage) throws -> any MPIJob {
    let job = try joined.get()
    guard job.size == package.nodeNames.count else {
      throw RankFault(started: job.size, nodes: package.nodeNames)
    }
    return job
  }

  static func addresses(
    of nodes: [String], _ job: any MPIJob
  ) -> [(name: String, address: HostPort)] {
    nodes.enumerated().map { ($1, job.address(of: $0 + 1)) }
  }

  private static func serve(
    _ job: any MPIJob, _ path: String, _ place: PlaceOptions
  ) throws {
    do {
      try takePart(job, path, place)
    } catch let fault as any Fault {
      // Rank 0 says it, once for all.
      job.sayUnable(Farewell(fault))
    }
    try job.waitForEnd()
  }

  private static func takePart(
    _ job: any MPIJob, _ path: String, _ place: PlaceOptions
  ) throws {
    let package = try package(of: job, path, try TrustRequirement(place.trust))
    place.trust.warn(package.trust.doubts)
    let compute = try ComputeContext(
      threads: place.compute.threads ?? WorkerPool.defaultThreadCount)
    let shard = try LoadedShard(package: package, compute: compute)
    try package.recordSequence()
    let server = NodeServer(
      stage: shard.makeStage(), listen: job.address(of: job.rank), transport: job.transport)
    _ = try server.start()
    job.sayReady()
    defer { server.shutdown() }
    try job.waitForEnd()
  }

  /// A rank's part: the directory given, or the part in it that the plan gives to the rank.
  private static func package(
    of job: any MPIJob, _ path: String, _ trust: TrustRequirement
  ) throws -> VerifiedPackage {
    let package = try VerifiedPackage.open(directory: path, trust: trust)
    guard job.size == package.nodeNames.count else {
      throw RankFault(started: job.size, nodes: package.nodeNames)
    }
    let name = package.nodeNames[job.rank]
    if package.isWholeBundle {
      return try VerifiedPackage.open(directory: path, node: name, trust: trust)
    }
    guard package.node == name else {
      throw RankFault(rank: job.rank, name, found: package.node, at: path)
    }
    return package
  }
}

/// Processes that do not fit the plan.
struct RankFault: Fault {
  let code: String
  let message: String
  let exitStatus = ExitStatus.usage
  let context: [String: String]

  init(started count: Int, nodes: [String]) {
    code = "mpi.processes"
    message =
      "this job has \(count) \(count == 1 ? "process" : "processes") but the plan has "
      + "\(nodes.count) nodes; start it with mpirun -np \(nodes.count), or plan for other nodes"
    context = ["processes": "\(count)"]
  }

  init(rank: Int, _ expected: String, found: String, at path: String) {
    code = "mpi.wrongNode"
    message =
      "\(path) is the part of \(found), but rank \(rank) is \(expected) by the plan; give mpirun "
      + "the hosts in the order of the plan"
    context = ["file": path, "node": expected]
  }
}
