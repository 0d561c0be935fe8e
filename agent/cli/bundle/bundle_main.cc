// dewar-bundle: what makes and unpacks bundles for `dewar`, apart from it for the sake of its libraries.
//   dewar-bundle pack RUN_FOLDER FILE LOG_BYTES DOCTOR   DOCTOR: 1, what `dewar doctor` says goes in too; else 0
//   dewar-bundle unpack                                  reads descriptor 0, unpacks into the folder on descriptor 3
// Why it could not goes to standard error. Exit status: 0 done; 1 failed; 2 wrong usage; 7 FILE is there already.
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "agent/cli/bundle/archive.h"
#include "agent/cli/bundle/contents.h"
#include "agent/cli/bundle/unpack.h"
#include "agent/cli/commands.h"
#include "agent/cli/doctor/check.h"
#include "agent/cli/doctor/view.h"
#include "base/clock.h"
#include "base/files.h"

namespace dewar {
namespace {

constexpr int kTarget = 3;

std::string doctor_says(const std::string& folder) {
  char name[256] = "this host";
  ::gethostname(name, sizeof name - 1);
  const DoctorHost host{folder, ::geteuid() == 0, look_at_host_cgroups("")};
  return checks_json(examine(host), name);
}

ExitCode complain(const Error& error, ExitCode code = ExitCode::kFailed) {
  (void)write_all(STDERR_FILENO, error.message(), "standard error");
  return code;
}

ExitCode pack(const std::string& run_folder, const std::string& path, std::uint64_t log_bytes, bool doctor) {
  auto writer = ArchiveWriter::create(path);
  if (!writer)
    return complain(writer.error(),
                    writer.error().code == std::errc::file_exists ? ExitCode::kConflict : ExitCode::kFailed);
  BundleOptions options;
  options.log_bytes = log_bytes;
  options.version = kVersion;
  if (doctor) options.doctor = doctor_says(run_folder);
  const auto now = static_cast<std::int64_t>(SystemClock().wall());
  auto written = write_contents(run_folder, options, [&](const std::string& name, std::string_view bytes) {
    return writer->add(name, bytes, now);
  });
  if (written) written = writer->finish();
  if (written) return ExitCode::kDone;
  ::unlink(path.c_str());
  return complain(written.error());
}

ExitCode run(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  if (verb == "pack" && argc == 6)
    return pack(argv[2], argv[3], std::strtoull(argv[4], nullptr, 10), std::string(argv[5]) == "1");
  if (verb != "unpack" || argc != 2) {
    (void)write_all(STDERR_FILENO, "dewar-bundle is for dewar bundle to call", "standard error");
    return ExitCode::kUsage;
  }
  const auto unpacked = unpack_bundle(STDIN_FILENO, UniqueFd(kTarget));
  return unpacked ? ExitCode::kDone : complain(unpacked.error());
}

}  // namespace
}  // namespace dewar

int main(int argc, char** argv) { return static_cast<int>(dewar::run(argc, argv)); }
