FROM sluice-mysql-stand-in:8
ADD check.sh /check.sh
RUN chmod +x /check.sh
CMD ["/check.sh"]
