"""The lab's file format: experiments, how ingredients are trained, tasks, federated rounds."""
