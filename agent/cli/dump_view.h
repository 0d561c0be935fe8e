#pragma once

#include <string>
#include <string_view>

namespace dewar {

/// What a checkpoint stream holds, for a person or a program.
struct StreamDump {
  std::string text;
  bool damaged = false;  ///< some record cannot be read; a torn tail alone is no damage
};

/// A line per record: offset, kind, checksum (ok, none, BAD), state and fields. Goes on behind a damaged record if its
/// length still leads to the next one.
StreamDump dump_as_text(std::string_view stream);

/// {"bytes", "records": [{"offset", "length", "kind", "crc", …}], "damage": [{"offset", "reason"}], "torn_bytes"}; the
/// fields have Thermos's names and plain numbers.
StreamDump dump_as_json(std::string_view stream);

}  // namespace dewar
