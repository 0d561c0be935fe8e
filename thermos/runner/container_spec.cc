#include "thermos/runner/container_spec.h"

namespace dewar {

ContainerSpec container_spec(const RunnerSpec& run) {
  ContainerSpec spec;
  spec.id = run.container_id;
  spec.cgroups = run.cgroups;
  spec.sandbox = run.sandbox;
  spec.hostname = run.hostname;
  spec.network = run.network;
  for (const auto& [name, port] : run.ports) spec.ports.push_back(static_cast<std::uint16_t>(port));
  spec.sandbox_folder = run.run_folder + "/sandbox";
  spec.log_folder = run.run_folder + "/.logs";
  spec.root_folder = run.run_folder + "/rootfs";
  spec.image_folder = run.image_folder;
  if (run.sandbox.root.writable) spec.layer_folder = run.run_folder + "/layer";
  spec.first_id = run.first_id;
  spec.launcher = run.launcher;
  return spec;
}

}  // namespace dewar
