from dp3.cli.main import main

main()
