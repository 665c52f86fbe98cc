#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Lets the calling thread sleep.
public func pause(_ time: Duration) { usleep(UInt32(clamping: time.inNanoseconds / 1000)) }

/// Lets other threads that are ready use this core.
func yieldProcessor() { sched_yield() }
