"""The work behind one-shot commands: status, doctor, bench, export and others."""
