// Written by fixtures/unicode/make_unicode_tables.py from the Unicode Character
// Database 16.0 (Unicode License v3); do not edit.

/// Scalars with a canonical pair that never compose: distances in hexadecimal.
let compositionExclusions = """
  344;614;1;1;1;1;1;1;1;7d;1;2;54;3;23;1;1;3;fe;1;3e6;a;5;5;5;d;a;2;1;2;9;12;a;5;5;5;d;1b23;d041;\
  2;b;1;1;1;1;1;1;1;1;1;1;1;1;2;1;1;1;1;2;2;1;2;1;2;1;1;1;1;1;1;1;1;d610;1;1;1;1;1;1;57;1;1;1;1;\
  1
  """
