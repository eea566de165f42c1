import Glibc
import SandboxKit

exit(SandboxCommand.run(Array(CommandLine.arguments.dropFirst())))
