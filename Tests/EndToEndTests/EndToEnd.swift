import Testing

/// Everything with real processes, one test after the other: they measure time and count
/// processes.
@Suite(.serialized) struct EndToEnd {}
